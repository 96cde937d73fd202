// No setup(), but a teardown(): what each gets. Fixed: all.
import { check } from 'k6';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 1 } } };
export default function (data) { check(data, { 'is undefined': (d) => d === undefined, 'is null': (d) => d === null }); }
export function teardown(data) { check(data, { 'is undefined at the end': (d) => d === undefined, 'is null at the end': (d) => d === null }); }
