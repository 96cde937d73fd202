// A module beside the scripts that import it.
export function describe(count) { return `iterations: ${count}\n`; }
export const words = JSON.parse(open('../data/words.json'));
