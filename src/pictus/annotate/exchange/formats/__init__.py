"""Other tools' files: one file per format, a reader and writers in each; FORMATS knows them by name."""
