"""The worker processes: started, told what to do, counted out, replaced."""
