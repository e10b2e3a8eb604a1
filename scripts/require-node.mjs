/**
 * Preloaded (`node --import`) by every command, because packages are TypeScript that only a current Node runs. It is plain
 * JavaScript so that the Node of the machine (20 and above) can read it: when the `node` package could not install its
 * binary, npm runs our scripts with that one, and without this check they would fail with a stack trace about ".ts".
 */
const NEEDED = 26;

if (Number(process.versions.node.split(".")[0]) < NEEDED) {
  process.stderr.write(
    `Cortex runs on Node.js ${NEEDED}, which npm installs with it, but this is Node.js ${process.versions.node}: ` +
      "the install script of the package `node` did not run. Run `npm rebuild node --ignore-scripts=false` and try again.\n",
  );
  process.exit(1);
}
