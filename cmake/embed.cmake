# embed(TARGET NAME FILES...): files as string constants inside a generated header. Filled by the web room.
