function collect_drink() {
  const before = observe().achievements.collect_drink;
  for (let i = 0; i < 40 && observe().achievements.collect_drink === before; i++) {
    if (go_to("water")) interact();
    else explore(12);
  }
}