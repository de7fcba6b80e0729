"""From what was observed to what each cell says, to the verdict, and to whether a wrong theory would be noticed."""
