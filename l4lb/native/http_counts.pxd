from libc.stdint cimport uint32_t

from l4lb.native.table cimport Table


cdef object route_number(Table table, uint32_t listener, uint32_t slot)
