from l4lb.native.snapshots cimport Snapshots


cdef class Table(Snapshots):
    pass
