package action.mobile.recognizer

/** Nanoseconds of a clock that only goes on. An interface, since a lambda's result would be boxed. */
fun interface Clock {
    fun nanos(): Long

    companion object {
        val SYSTEM = Clock { System.nanoTime() }
    }
}
