// Standard input: {"compiler": <package folder>, "input": <standard JSON>}; standard output: the compiler's standard JSON.
const { compiler, input } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const solc = require(compiler);
const compile = solc.compileStandardWrapper || solc.compile; // the former before 0.5
process.stdout.write(compile(JSON.stringify(input)));
