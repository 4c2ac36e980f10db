function defeat_zombie() {
  const before = observe().achievements.defeat_zombie;
  for (let i = 0; i < 40 && observe().achievements.defeat_zombie === before; i++) {
    if (go_to("zombie")) interact();
    else explore(12);
  }
}