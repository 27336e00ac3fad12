"""What do many lines say together?"""
