package action.mobile.app.device

/** Bytes in a kibibyte, the unit of the kernel's and the runtime's figures. */
internal const val KIBIBYTE = 1024L

// In the order of PowerManager's constants, THERMAL_STATUS_NONE being 0.
private val THERMAL = listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

/** A thermal status of PowerManager as a report says it. */
fun thermalWord(status: Int): String = THERMAL.getOrElse(status) { "unknown" }

/** The line of a `/proc/PID/status` that starts with [key], in bytes; null when it has none. */
fun statusBytes(status: String, key: String): Long? {
    val line = status.lineSequence().find { it.startsWith("$key:") } ?: return null
    val (number, unit) = NUMBER.find(line)?.destructured ?: return null
    return if (unit == "kB") number.toLongOrNull()?.times(KIBIBYTE) else null
}

private val NUMBER = Regex("(\\d+) (\\w+)")

/** The share that is left, of percent; null for what the system answers when it does not know. */
fun batteryLevel(percent: Int): Double? = if (percent in 0..100) percent / 100.0 else null

/** `Google` and `Pixel 8` as one name; some makers are part of their model's name already. */
fun modelName(maker: String, model: String): String =
    if (model.startsWith(maker, ignoreCase = true)) model else "${maker.replaceFirstChar { it.uppercase() }} $model"
