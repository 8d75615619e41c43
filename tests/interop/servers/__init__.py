"""Interop servers in Python, one module a library; each is run with ``python -m`` on its own.

Every server of the lane, in whatever language, offers the same paths on a free loopback port,
prints ``PORT <number>`` when it listens, and ends when its standard input does:

========================  ======================================================================
``GET /hello``            200, ``hello from <server>``
``/echo``                 echoes text and binary; accepts permessage-deflate
``/close``                closes at once with 4001 ``bye``
``/count?n=N``            sends the texts ``0`` to ``N-1``, then closes with 1000 ``done``
``/subprotocol``          echoes; chooses ``v2.interop`` before ``v1.interop``
``/refuse``               refuses the upgrade: 403, ``no entry``
``/ping``                 pings with ``are you there``, tells the answer as the text
                          ``pong: are you there`` (not the ASGI servers: ASGI has no pings)
``/record?id=ID``         reads until the client closes and remembers its close code and reason
``GET /recorded?id=ID``   ``<code> <reason>`` of that session, as soon as it has ended
========================  ======================================================================
"""
