"""What people read: a verification and an idea, drawn for the terminal, a notebook, a program, a build server."""
