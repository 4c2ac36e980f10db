function collect_sapling() {
  const before = observe().achievements.collect_sapling;
  for (let i = 0; i < 40 && observe().achievements.collect_sapling === before; i++) {
    if (go_to("grass")) interact();
    else explore(12);
  }
}