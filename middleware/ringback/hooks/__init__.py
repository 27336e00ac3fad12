"""Which hooks does an outcome concern, and who calls them?"""
