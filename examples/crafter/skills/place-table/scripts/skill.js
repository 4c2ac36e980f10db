function place_table() {
  if (collect_wood(2) === false) return;
  place("table");
}