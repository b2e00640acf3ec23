# A single-file plugin is one file beside the directories of the others.
find_php
check_restore_point
if grep -qxF "./$place" "$point/files"; then
    rm -rf "${root:?}/$place"
    put_back_code "./$place"
elif grep -qxF "./$place.php" "$point/files"; then
    put_back_code "./$place.php"
else
    rm -rf "${root:?}/$place" "${root:?}/$place.php"
fi
keep_closed
rm -f "$site_mark.$kind-$name"
