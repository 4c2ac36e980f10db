function collect_wood(n = 1) {
  const target = observe().inventory.wood + n;
  for (let i = 0; i < 40 && observe().inventory.wood < target; i++) {
    if (go_to("tree")) interact();
    else explore(12);
  }
}