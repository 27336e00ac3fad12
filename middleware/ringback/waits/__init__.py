"""What has become of a call that code of the app waits for?"""
