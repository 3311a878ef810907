/**
 * An object whose only keys are its own: `__proto__` is a key like any other (S48). An object without a
 * prototype would be that too, but V8 keeps those as hash tables: three times slower to fill.
 */
export const RecordData = function () {} as unknown as new () => Record<string, string>;
RecordData.prototype = Object.freeze(Object.create(null));
