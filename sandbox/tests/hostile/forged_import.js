// Imports modules by name while it runs.
// expect: value "refused"
async function main() {
  for (const name of ["std", "os", "fs", "skill.js", "<prelude>", "/etc/passwd", "data:text/javascript,1"]) {
    try {
      const module = await import(name);
      if (name !== "skill.js") return [name, Object.keys(module)];
    } catch {}
  }
  return "refused";
}
