function collect_coal(n = 1) {
  const target = observe().inventory.coal + n;
  for (let i = 0; i < 40 && observe().inventory.coal < target; i++) {
    if (go_to("coal")) interact();
    else explore(12);
  }
}