package action.mobile.app.live

/** How many things a second came lately, by their time stamps in nanoseconds. */
class RateMeter(private val capacity: Int = 64) {
    private val times = LongArray(capacity)
    private var next = 0
    private var count = 0

    fun add(nanos: Long) {
        // Another clock, or the camera was opened again: what was before says nothing.
        if (count > 0 && (nanos < latest() || nanos - latest() > PAUSE)) count = 0
        times[next] = nanos
        next = (next + 1) % capacity
        if (count < capacity) count++
    }

    /** A second; 0 until there are two. */
    val rate: Double
        get() {
            if (count < 2) return 0.0
            val span = latest() - times[(next - count + capacity) % capacity]
            return if (span <= 0) 0.0 else (count - 1) * 1e9 / span
        }

    private fun latest() = times[(next - 1 + capacity) % capacity]

    private companion object {
        const val PAUSE = 2_000_000_000L
    }
}
