// setup() that returns nothing: VUs and teardown() get undefined. Fixed: all.
import { check } from 'k6';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 1 } } };
export function setup() {}
export default function (data) { check(data, { 'is undefined': (d) => d === undefined }); }
export function teardown(data) { check(data, { 'is undefined at the end': (d) => d === undefined }); }
