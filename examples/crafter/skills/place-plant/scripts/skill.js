function place_plant() {
  if (collect_sapling()) place("sapling");
}