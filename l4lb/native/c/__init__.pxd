"""All declarations of csrc/ that Python uses, each once, in the file named after its header or its
floor. `from l4lb.native cimport c` imports all of them.

why cimport without `as`: Cython does not notice changes of a module imported under another name,
and keeps stale code.
"""

from l4lb.native.c.base cimport *
from l4lb.native.c.bounds cimport *
from l4lb.native.c.cache cimport *
from l4lb.native.c.gate cimport *
from l4lb.native.c.health cimport *
from l4lb.native.c.http cimport *
from l4lb.native.c.layout cimport *
from l4lb.native.c.names cimport *
from l4lb.native.c.pick cimport *
from l4lb.native.c.record cimport *
from l4lb.native.c.requests cimport *
from l4lb.native.c.run cimport *
from l4lb.native.c.session_stats cimport *
from l4lb.native.c.sets cimport *
from l4lb.native.c.settings cimport *
from l4lb.native.c.sockets cimport *
from l4lb.native.c.sticky cimport *
from l4lb.native.c.table cimport *
from l4lb.native.c.tls cimport *
