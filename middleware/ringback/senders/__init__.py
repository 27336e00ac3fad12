"""Who may send?"""
