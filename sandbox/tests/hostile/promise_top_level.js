// Never gets to its function because it waits first.
// expect: exception nothing will ever settle
await new Promise(() => {});
function main() {}
