package action.mobile.app.camera

/**
 * Frees something when nobody uses it any more: a reader's pictures lie in its memory, so that it may
 * be closed only after the model has put down the picture it works on. Safe for several threads.
 */
class LastOneOut(private val free: () -> Unit) {
    private var users = 0
    private var finished = false

    /** Another user; false when [finish] was called and there is nothing to use any more. */
    @Synchronized
    fun take(): Boolean {
        if (finished) return false
        users++
        return true
    }

    /** One user less. */
    @Synchronized
    fun putDown() {
        users--
        freeIfUnused()
    }

    /** No further users; frees now or when the last one is out. */
    @Synchronized
    fun finish() {
        if (finished) return
        finished = true
        freeIfUnused()
    }

    private fun freeIfUnused() {
        if (finished && users == 0) free()
    }
}
