"""What do a deployment's answers to a first caller mean, and what is to be done? Pure: ``ringback doctor`` sends.

A probe is a request, an answer or a failure is what the request brought, and a finding is the meaning.
"""
