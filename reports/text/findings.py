def finding(*a): return "x"
