// The options of the programs in spec/bench and spec/soak: `--name value`, `--flag`, and any number of `--set KEY=VALUE`
// that are handed on to the server.

/** `defaults`: {name: value}; a number stays a number, false is a flag. An unknown option ends the program, with `usage`. */
export function readOptions(defaults, usage, argv = process.argv.slice(2)) {
  const options = { ...defaults, set: [] };
  const give_up = (why) => {
    process.stderr.write(`${why}\n${usage}\n`);
    process.exit(2);
  };
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i].replace(/^--/, '').replaceAll('-', '_');
    if (argv[i] === '--help') give_up('');
    if (argv[i] === '--set') {
      options.set.push(argv[++i]);
    } else if (!argv[i].startsWith('--') || !(name in defaults)) {
      give_up(`there is no option ${argv[i]}`);
    } else if (defaults[name] === false) {
      options[name] = true;
    } else {
      const value = argv[++i];
      options[name] = typeof defaults[name] === 'number' ? Number(value) : value;
      if (value === undefined || Number.isNaN(options[name])) give_up(`${argv[i - 1]} needs a value`);
    }
  }
  return options;
}

/** Whether a module was started by itself, not imported by a test. */
export const isMain = (meta) => process.argv[1] !== undefined && meta.url === new URL(`file://${process.argv[1]}`).href;
