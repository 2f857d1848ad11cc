"""How a file packs what it holds, ONE FILE EACH."""
