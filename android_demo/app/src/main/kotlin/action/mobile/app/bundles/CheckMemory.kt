package action.mobile.app.bundles

/** A few short texts that outlive the process; [put] returns when the value is on disk. */
interface Notebook {
    fun get(key: String): String?

    fun put(key: String, value: String)
}

/**
 * What the self-check said of an artifact, on this app and this version of the system: another driver
 * or runtime has to be checked again.
 *
 * The beginning is written down too. A driver that takes the whole process with it cannot be caught;
 * the next start finds a check that never ended, and does not walk into it again.
 */
class CheckMemory(private val notes: Notebook, private val surroundings: String) {
    fun passed(sha256: String): Boolean = notes.get(key(sha256)) == PASSED

    /** Why it must not be used; null when it passed or was never checked. */
    fun failure(sha256: String): String? {
        val said = notes.get(key(sha256)) ?: return null
        return when {
            said == BEGUN -> "the app ended while it was checked"
            said.startsWith(FAILED) -> said.removePrefix(FAILED)
            else -> null
        }
    }

    fun begin(sha256: String) = notes.put(key(sha256), BEGUN)

    fun pass(sha256: String) = notes.put(key(sha256), PASSED)

    fun fail(sha256: String, reason: String) = notes.put(key(sha256), FAILED + reason)

    private fun key(sha256: String) = "check $sha256 $surroundings"

    private companion object {
        const val BEGUN = "begun"
        const val PASSED = "passed"
        const val FAILED = "failed: "
    }
}
