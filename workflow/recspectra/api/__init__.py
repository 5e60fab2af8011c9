"""What a notebook or a program uses: `import recspectra as rs` gives all of it."""
