def start_recorder(w,u): pass
