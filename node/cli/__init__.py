"""The command `hftnode`: one thin file per command group."""
