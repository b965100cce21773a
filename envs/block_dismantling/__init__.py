"""Block dismantling: two arms take a brick assembly apart and sort the bricks."""
