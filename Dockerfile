FROM debian:bookworm-slim AS build
WORKDIR /src
# Before the sources, so that editing them does not install again.
COPY dev .
RUN ./dev setup run
COPY . .
RUN ./dev build && cmake --install build --strip

FROM debian:bookworm-slim
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
    libh2o0.13 libwslay1 libuv1 libluajit-5.1-2 lua-cjson libespeak-ng1 espeak-ng-data libsqlite3-0 libcurl4 libssl3 zlib1g libjemalloc2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/fitnessally --create-home --shell /usr/sbin/nologin fitnessally
COPY --from=build /usr/local /usr/local

USER fitnessally
# Where the installed fitnessally.conf.lua is found.
WORKDIR /usr/local/share/fitnessally
ENV FITNESSALLY_LISTEN=0.0.0.0:3005 FITNESSALLY_STATE_DIR=/var/lib/fitnessally
VOLUME /var/lib/fitnessally
EXPOSE 3005
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/3005; \
printf 'GET /api/health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3; read -r _ code _ <&3; [ \"$code\" = 200 ]"]
ENTRYPOINT ["fitnessally"]
CMD ["serve"]
