// Arguments of every wrong type arrive as JSON or not at all.
// expect: value [{"where":null},{"where":{}},{"where":[null,null]},{},{"where":{"a":1}}]
function main() {
  return [place(NaN), place(new Map([[1, 2]])), place([undefined, () => 1]), place(undefined), place({ a: 1 })];
}
