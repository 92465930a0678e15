package action.mobile.recognizer

/** A bundle that is missing, damaged or of no use here; the message is one line for a person. */
class BundleException(message: String) : Exception(message)

/** A program that fails or answers nonsense; the message is one line for a person. */
class ProgramException(message: String, cause: Throwable? = null) : Exception(message, cause)
