// Preloaded by every npm script: one clear line on a Node that is too old, instead of a syntax error.
const major = Number(process.versions.node.split(".")[0])
if (major < 24) {
  process.stderr.write(
    `Node ${process.versions.node} is too old: 24 or newer is needed. "npm install" brings one for most platforms; ` +
      `run the commands through npm (npm run dev), or put node_modules/.bin first in PATH.\n`
  )
  process.exit(1)
}
