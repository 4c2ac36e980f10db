// Changes the arguments after the call was started.
// expect: value {"where":"allowed"}
async function main() {
  const args = { where: "allowed" };
  const call = tools.place(args);
  args.where = "forbidden";
  return await call;
}
