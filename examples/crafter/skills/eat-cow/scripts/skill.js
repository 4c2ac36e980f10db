function eat_cow() {
  const before = observe().achievements.eat_cow;
  for (let i = 0; i < 40 && observe().achievements.eat_cow === before; i++) {
    if (go_to("cow")) interact();
    else explore(12);
  }
}