-- For wrk: ends with one line of figures. The other scripts here take their `done` from it.
function done(summary)
  local e = summary.errors
  -- 304 and 404 are no failures here; e.status counts from 400 on.
  local failed = e.connect + e.read + e.write + e.timeout + (quiet and 0 or e.status)
  print(("figures %d %d %d"):format(summary.requests, summary.duration, failed))
end
