"""Many verifications: along a knob, to find where an idea stops holding, and over ideas and settings."""
