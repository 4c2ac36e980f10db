function make_wood_pickaxe() {
  if (observe().inventory.wood < 3) collect_wood(3 - observe().inventory.wood);
  place_table();
  make("wood_pickaxe");
}