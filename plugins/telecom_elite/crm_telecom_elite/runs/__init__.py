"""Monthly pay runs from frozen inputs to statements (月度薪酬核算)."""
