"""What does a log say, whatever tool keeps the log: JSON lines, lines of text, exports of Azure Monitor? Pure.

One reader serves every command. The reader turns bytes into flat lines, and says why it cannot read the others.
"""
