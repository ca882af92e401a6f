"""Who calls the gateway, and what each caller may.

A call is given to a caller by a token, a proxy's word or its certificate (`identity`), and counted in the caller's account
(`account`), which refuses what is over the limits. All of it holds for one gateway process: there is no state beside it.
"""
