import warnings

from components.foundation.library_warnings import silence_library_warnings


def test_known_warnings_of_libraries_are_not_printed_and_others_are(monkeypatch):
    printed = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: printed.append(str(message)))
    silence_library_warnings()
    # As Feast does when it is imported; a filter from before would come after it.
    warnings.simplefilter("always", DeprecationWarning)
    of_libraries = [
        ('Field name "vector_enabled" in "MilvusOnlineStoreConfig" shadows an attribute in parent "V"', UserWarning),
        ("Clearing labels has not been implemented in multi-process mode yet", UserWarning),
        ("The ``noload`` loader strategy is deprecated and will be removed", DeprecationWarning),
        ("'.set_retry()' is not used by the current local runner and will be ignored.", UserWarning),
        ("Task 'train': settings ['cpu_limit'] have no effect in the current local runner", UserWarning),
    ]
    for text, category in [*of_libraries, ("divide by zero", RuntimeWarning), ("soon gone", DeprecationWarning)]:
        warnings.warn(text, category, stacklevel=1)
    assert printed == ["divide by zero", "soon gone"]
